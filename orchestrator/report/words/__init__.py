"""How a report says it: numbers, answers, caveats, cells of tables."""
