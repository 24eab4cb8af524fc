"""The producer: gateway events -> plain data -> attributions -> records, and the slash commands' process."""
