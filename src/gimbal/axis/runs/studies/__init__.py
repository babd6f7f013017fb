"""Studies: searches for good parameters whose trials are runs. Several workers share one; the server numbers and hands out."""
