"""`ecrauth`: the command line, for who asks and for who operates; imported by nobody."""
