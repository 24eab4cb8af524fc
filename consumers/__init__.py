"""The sinks and what delivers to them. Each sink has a consumer group, an RQ queue and a process of its own."""
