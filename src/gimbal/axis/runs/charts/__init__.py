"""Charts over runs, and what makes runs differ: for the console, the command line, notebooks and the API alike."""
