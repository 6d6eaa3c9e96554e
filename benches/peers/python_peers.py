"""M/M/100+M and M/M/1000+M in SimPy and Ciw: customers a second of CPU, with the share that hung up.

The same models as bench `kernel`: handle times of mean 1, patience of mean 2, load 1, from empty. Each prints what it counted,
because a speed without it means nothing. SimPy is written as its own examples write reneging (a request or a timeout, whichever
comes first); Ciw has reneging of its own.
"""

import random
import sys
import time

import ciw
import simpy


def by_simpy(servers, customers):
    rng = random.Random(1)
    env = simpy.Environment()
    desk = simpy.Resource(env, capacity=servers)
    hung_up = 0

    def customer():
        nonlocal hung_up
        with desk.request() as request:
            result = yield request | env.timeout(rng.expovariate(0.5))
            if request in result:
                yield env.timeout(rng.expovariate(1.0))
            else:
                hung_up += 1

    def arrivals():
        for _ in range(customers):
            yield env.timeout(rng.expovariate(servers))
            env.process(customer())

    env.process(arrivals())
    env.run()
    return hung_up / customers


def by_ciw(servers, customers):
    ciw.seed(1)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=servers)],
        service_distributions=[ciw.dists.Exponential(rate=1.0)],
        reneging_time_distributions=[ciw.dists.Exponential(rate=0.5)],
        number_of_servers=[servers],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(customers, method="Arrive")
    records = simulation.get_all_records()
    return sum(record.record_type == "renege" for record in records) / customers


def main():
    customers = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    for servers in (100, 1_000):
        for name, run in ((f"SimPy {simpy.__version__}", by_simpy), (f"Ciw {ciw.__version__}", by_ciw)):
            # Ciw's cost grows with the servers.
            n = customers if run is by_simpy or servers == 100 else customers // 6
            start = time.process_time()
            share = run(servers, n)
            cpu = time.process_time() - start
            print(f"  M/M/{servers}+M  {name:12} {n / cpu / 1e6:8.4f} M customers/s of CPU  ({n} customers, {share:.4f} hung up)", flush=True)


if __name__ == "__main__":
    main()
