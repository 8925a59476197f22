-- Runs and pages are looked for over all incidents that have become one alert by merges.
CREATE INDEX alerts_alert ON alerts (alert_id);
