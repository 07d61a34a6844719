"""All contenders by name, in the order of the tables."""

from contenders import Contender
from contenders.bentoml import BENTOML
from contenders.boxplat import BOXPLAT
from contenders.echo import ECHO
from contenders.fastapi import FASTAPI
from contenders.litserve import LITSERVE
from contenders.mlflow import MLFLOW

EVERY: dict[str, Contender] = {one.name: one for one in (BOXPLAT, BENTOML, FASTAPI, LITSERVE, MLFLOW, ECHO)}
