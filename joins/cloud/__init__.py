"""The cloud copy as two processes must agree on it: the bucket, and the objects in it."""
