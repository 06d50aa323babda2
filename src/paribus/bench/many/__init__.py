"""Many runs at once, each its own seed: Paribus beside what others offer for that."""
