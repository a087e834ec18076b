"""How pictures are drawn: panels, colours of arms, the width of text."""
