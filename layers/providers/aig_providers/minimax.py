"""MiniMax: one adapter, of which each modality is a module."""

from aig_providers import wire
from aig_providers.minimax_music import MiniMaxMusic


class MiniMax:
    music = MiniMaxMusic(wire.CLIENT.post)


ADAPTER = MiniMax()
