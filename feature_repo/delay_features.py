"""Features of a flight as known one hour before its scheduled departure. Plain Feast definitions.

The rows come from `flows/features.py`, which writes one Parquet file per view. Event time is when a value became known
(a departure at departure, an arrival at arrival, a weather report one hour after its stamp); windows are rows that
change whenever an event enters or leaves. A life time (`ttl`) is at least the longest window of the view, so it only
bites when a feed is dead.
"""

import os
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, PrimitiveFeastType, String

ROOT = Path(os.environ.get("BOXPLAT_DATA") or Path(__file__).resolve().parent.parent / ".box" / "data")

carrier = Entity(name="carrier", value_type=ValueType.STRING, description="Two-letter airline code")
flight = Entity(name="flight", value_type=ValueType.INT64, description="Flight number")
origin = Entity(name="origin", value_type=ValueType.STRING, description="Airport of departure: EWR, JFK or LGA")
dest = Entity(name="dest", value_type=ValueType.STRING, description="Airport of arrival")
sched = Entity(name="sched", value_type=ValueType.INT64, description="Scheduled departure, minutes UTC since 1970")
network = Entity(name="network", value_type=ValueType.STRING, description="Always nyc: the three airports together")
tail = Entity(name="tail", value_type=ValueType.STRING, description="Aircraft that flew: known in hindsight only")


def view(
    name: str, entities: list[Entity], ttl: timedelta, online: bool = True, **features: PrimitiveFeastType
) -> FeatureView:
    """A feature view over `<name>.parquet`."""
    source = FileSource(
        name=f"{name}_rows",
        path=str(ROOT / "features" / f"{name}.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    keys = [Field(name=entity.name, dtype=Int64 if entity in (flight, sched) else String) for entity in entities]
    values = [Field(name=feature, dtype=dtype) for feature, dtype in features.items()]
    return FeatureView(name=name, entities=entities, ttl=ttl, online=online, schema=keys + values, source=source)


HOURS_3, HOURS_6, DAY = timedelta(hours=3), timedelta(hours=6), timedelta(days=1)

flight_schedule = view(
    "flight_schedule",
    [carrier, flight, origin, dest, sched],
    timedelta(days=2),
    mins=Int64,
    dow=Int64,
    distance=Int64,
    sched_el=Int64,
    ahead=Int64,
    density=Int64,
)
origin_weather = view(
    "origin_weather",
    [origin],
    HOURS_3,
    weather_known_at=Int64,
    temp=Float64,
    dewp=Float64,
    humid=Float64,
    wind_speed=Float64,
    precip=Float64,
    pressure=Float64,
    visib=Float64,
    wind_u=Float64,
    wind_v=Float64,
    precip_6h=Int64,
    dpress=Float64,
)
origin_ops = view(
    "origin_ops",
    [origin],
    HOURS_6,
    origin_delay_60=Float64,
    origin_late_60=Float64,
    origin_departures_60=Int64,
    origin_delay_120=Float64,
    origin_late_120=Float64,
    origin_departures_120=Int64,
    origin_delay_360=Float64,
    origin_late_360=Float64,
    origin_departures_360=Int64,
)
origin_carrier_ops = view(
    "origin_carrier_ops",
    [origin, carrier],
    DAY,
    origin_carrier_delay_180=Float64,
    origin_carrier_departures_180=Int64,
)
carrier_ops = view("carrier_ops", [carrier], DAY, carrier_delay_180=Float64, carrier_no_shows_360=Int64)
dest_ops = view("dest_ops", [dest], DAY, dest_delay_180=Float64)
route_ops = view("route_ops", [origin, dest], DAY, route_delay_720=Float64)
network_ops = view("network_ops", [network], HOURS_6, network_delay_120=Float64)

origin_arrivals = view("origin_arrivals", [origin], HOURS_6, origin_arrival_delay_240=Float64)
carrier_arrivals = view("carrier_arrivals", [carrier], DAY, carrier_arrival_delay_240=Float64)
dest_arrivals = view("dest_arrivals", [dest], DAY, dest_arrival_delay_240=Float64)

origin_history = view("origin_history", [origin], timedelta(days=14), origin_late_1d=Float64, origin_late_14d=Float64)
carrier_history = view(
    "carrier_history", [carrier], timedelta(days=14), carrier_late_1d=Float64, carrier_late_14d=Float64
)
route_history = view("route_history", [origin, dest], timedelta(days=14), route_late_14d=Float64)
flight_history = view(
    "flight_history",
    [carrier, flight, origin, dest],
    timedelta(days=28),
    flight_late_28d=Float64,
    flight_outcomes_28d=Int64,
)

origin_backlog = view("origin_backlog", [origin], HOURS_6, origin_waiting=Int64, origin_no_shows_360=Int64)
origin_carrier_backlog = view("origin_carrier_backlog", [origin, carrier], DAY, origin_carrier_waiting=Int64)
dest_backlog = view("dest_backlog", [dest], DAY, dest_waiting=Int64, dest_no_shows_720=Int64)

# Hindsight, so for looking back only.
tail_last = view("tail_last", [tail], timedelta(days=7), online=False, tail_delay=Int64, tail_distance=Int64)

delay_v1 = FeatureService(
    name="delay_v1",
    description="The 49 numeric features of the delay model, none of them from the tail number",
    features=[
        flight_schedule,
        origin_weather,
        origin_ops,
        origin_carrier_ops,
        carrier_ops,
        dest_ops,
        route_ops,
        network_ops,
        origin_arrivals,
        carrier_arrivals,
        dest_arrivals,
        origin_history,
        carrier_history,
        route_history,
        flight_history,
        origin_backlog,
        origin_carrier_backlog,
        dest_backlog,
    ],
)
