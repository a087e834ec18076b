"""What the service's pages and the page that is a file have in common: templates, one stylesheet, the matrix."""
