"""Files that runs, and models that runs logged, leave: by owner and path, their bytes in the blobs."""
