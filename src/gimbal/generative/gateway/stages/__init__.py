"""The stages of a call, one file each; `pipeline` says in which order they run."""
