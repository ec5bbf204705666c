// Attempts on the processors of one NUMA node each.
#include <gmock/gmock.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/agent/machine.hpp"
#include "worker/agent/numa_places.hpp"

namespace gauntlet::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(NumaPlaces, HwlocTellsTheProcessorsOfEachNode) {
  EXPECT_THAT(cpus_by_node("numa:2 pu:3"), ElementsAre(ElementsAre(0, 1, 2), ElementsAre(3, 4, 5)));
  EXPECT_THAT(cpus_by_node("no description"), IsEmpty());
  std::size_t n_cpus = 0;
  for (const NodeCpus& node : cpus_by_node()) n_cpus += node.size();
  EXPECT_EQ(static_cast<std::int64_t>(n_cpus), usable_cpus()) << "of this machine, those it may use";
}

TEST(NumaPlaces, AnAttemptFillsTheNodeWithTheLeastRoom) {
  NumaPlaces places(cpus_by_node("numa:2 pu:4"));
  places.take(1, 1);
  EXPECT_THAT(places.cpus_of(1), ElementsAre(0, 1, 2, 3));
  places.take(2, 3);
  EXPECT_EQ(places.cpus_of(2), places.cpus_of(1)) << "where it fits exactly";
  places.take(3, 4);
  EXPECT_THAT(places.cpus_of(3), ElementsAre(4, 5, 6, 7));
}

TEST(NumaPlaces, AnAttemptThatFitsNoNodeRunsAnywhere) {
  NumaPlaces places(cpus_by_node("numa:2 pu:4"));
  places.take(1, 5);
  EXPECT_THAT(places.cpus_of(1), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  places.take(2, 4);
  places.take(3, 4);
  places.take(4, 1);
  EXPECT_THAT(places.cpus_of(4), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7)) << "both nodes are full";
  places.release(4);
  places.release(3);
  places.take(5, 4);
  EXPECT_THAT(places.cpus_of(5), ElementsAre(4, 5, 6, 7)) << "what is released can be taken again";
}

TEST(NumaPlaces, TheNextAttemptGoesOnInTheSamePlace) {
  NumaPlaces places(cpus_by_node("numa:2 pu:4"));
  places.take(1, 3);
  places.take(2, 2);
  places.pass(2, 3);
  EXPECT_THAT(places.cpus_of(3), ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(places.cpus_of(2), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7)) << "it has no place any more";
  places.release(2);
  places.take(4, 3);
  EXPECT_THAT(places.cpus_of(4), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7)) << "two of the second node are taken";
  places.release(3);
  places.take(5, 4);
  EXPECT_THAT(places.cpus_of(5), ElementsAre(4, 5, 6, 7));
}

TEST(NumaPlaces, OneNodeLeavesNoChoice) {
  NumaPlaces places(cpus_by_node("numa:1 pu:4"));
  EXPECT_FALSE(places.has_choice());
  places.take(1, 1);
  EXPECT_THAT(places.cpus_of(1), ElementsAre(0, 1, 2, 3));
}

TEST(NumaPlaces, AProcessRunsWhereItIsBound) {
  cpu_set_t mine;
  ASSERT_EQ(::sched_getaffinity(0, sizeof mine, &mine), 0);
  int last = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) last = CPU_ISSET(cpu, &mine) ? cpu : last;
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  bind_process(child, {last});
  cpu_set_t bound;
  EXPECT_EQ(::sched_getaffinity(child, sizeof bound, &bound), 0);
  EXPECT_TRUE(CPU_ISSET(last, &bound));
  EXPECT_EQ(CPU_COUNT(&bound), 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  bind_process(child, {last});  // gone: nothing happens
}

}  // namespace
}  // namespace gauntlet::worker
