"""Looking into a recurrent network: traces, measurements, languages with known entropy."""
