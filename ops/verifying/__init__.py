"""Verifying: each copy against its own chain, against the other copies, and against anchors outside this machine."""
