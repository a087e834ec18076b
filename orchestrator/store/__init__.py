"""The truth, in SQL: tables, migrations, and one file of queries per noun."""
