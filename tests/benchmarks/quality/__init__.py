"""How well strangers, false alarms and wrong preprocessing are told: figures, not speed."""
