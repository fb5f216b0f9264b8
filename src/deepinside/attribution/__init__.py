"""Attribution methods of this package and of others, compared on the same photographs."""
