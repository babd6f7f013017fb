"""One file for each form in which runs lie elsewhere; all give the records of `importing/records`."""
