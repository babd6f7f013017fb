"""The bars of Gimbal, one file each, measured side by side with their limit in one run: `make bench`."""
