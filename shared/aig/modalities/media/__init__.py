"""Pictures, clips and documents that clients send: what they are and how large, by their bytes alone."""
