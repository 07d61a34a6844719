"""Every decorator that changes a pod: foreach, branch, retry, catch, time-out, resources, environment, schedule."""

from metaflow import FlowSpec, card, catch, environment, resources, retry, schedule, step, timeout


@schedule(cron="30 3 * * ? *", timezone="America/New_York")
class WideFlow(FlowSpec):
    @step
    def start(self):
        self.items = [1, 2, 3]
        self.next(self.work, foreach="items")

    @retry(times=4, minutes_between_retries=1)
    @resources(memory=512)
    @step
    def work(self):
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.next(self.fork)

    @step
    def fork(self):
        self.next(self.left, self.right)

    @timeout(minutes=10)
    @environment(vars={"MODE": "on"})
    @resources(cpu=2, memory=3000, gpu=1, shared_memory=64)
    @step
    def left(self):
        self.next(self.join)

    @catch(var="failure")
    @card
    @step
    def right(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    WideFlow()
