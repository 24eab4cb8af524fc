"""The four copies of a log as any process may read them: to heal the stream, another sink, or to verify."""
