"""``nn.Module`` definitions; imported only by training and by the torch runtime."""
