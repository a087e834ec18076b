"""From pairs of numbers to an honest answer. Pure: no database, no Ray, no clock."""
