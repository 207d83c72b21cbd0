"""What is kept on disk: saved targets, the document as a file, and files that change."""
