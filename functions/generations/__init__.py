"""Takes on what takes minutes: videos, music and 3D models."""
