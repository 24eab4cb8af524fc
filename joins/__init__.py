"""The contract: all that two processes of the invite log must agree on. It imports nothing of ours."""
