"""When two functions, classes or objects of the user's are the same: what they are made of, and how it is hashed."""
