"""MiniMax: one adapter, of which each modality is a module."""

from aig_providers import wire
from aig_providers.minimax_music import MiniMaxMusic
from aig_providers.minimax_video import MiniMaxVideo


class MiniMax:
    music = MiniMaxMusic(wire.CLIENT.post)
    video = MiniMaxVideo(wire.CLIENT.post)


ADAPTER = MiniMax()
