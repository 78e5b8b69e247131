"""Operations that arrange elements anew: views, joins, splits, padding."""
