"""`make mutate`: what the tests of the gate, the arbiter and the transitions would not notice."""
