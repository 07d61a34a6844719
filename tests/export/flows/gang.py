"""`@parallel`, started by an event, inside a project."""

from metaflow import FlowSpec, parallel, project, resources, step, trigger


@project(name="boxtest")
@trigger(event="data_arrived")
class GangFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.train, num_parallel=2)

    @resources(cpu=1, memory=700)
    @parallel
    @step
    def train(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    GangFlow()
