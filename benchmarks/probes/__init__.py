"""Scripts that run inside the environment of one package, which has nothing of this repository."""
