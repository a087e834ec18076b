"""A report as a file of one kind each: text, Markdown, HTML, LaTeX, CSV."""
