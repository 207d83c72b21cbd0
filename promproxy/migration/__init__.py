"""The configuration of programs that promproxy takes the place of, said in its own words."""
