"""The question of `sparkscale plan`: what a job of a size that was never run takes, costs and reaches."""
