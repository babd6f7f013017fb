"""How long data are kept, by project and class, erasure of a person's data, and the proof that both were done.

What ages out is deleted by a daily job; what a person asked to have erased is deleted from the columns, the blobs and the
backups, and stays erased: late spans and restored backups are erased again. Proofs say what was there before, what is
there after, and since when nothing of it is on the disk.
"""
