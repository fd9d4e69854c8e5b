"""What the roles of an environment may do, against what they have done."""
