"""When things happen: refreshes, back-offs, deadlines, long work in slices."""
