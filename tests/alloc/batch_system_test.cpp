// Scripts, commands, and what the batch systems print.
#include "coordinator/alloc/batch_system.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <fstream>

#include "core/base/subprocess.hpp"
#include "tests/alloc/world.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::alloc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

const BatchSystem& slurm() { return **find_batch_system("slurm"); }
const BatchSystem& pbs() { return **find_batch_system("pbs"); }

ScriptSite site() {
  return {.gauntlet = "/opt/it's/gauntlet",
          .workdir = "/data/my runs",
          .log = "/data/my runs/alloc/50%.log",
          .name = "gauntlet-0a1b2c-7",
          .label = "7"};
}

bool is_shell(const std::string& script) {
  const testing_support::TempFolder folder;
  const auto path = folder.write("script", script);
  const auto checked = run_subprocess({"bash", "-n", path.string()}, Milliseconds(60000));
  EXPECT_TRUE(checked);
  return checked && checked->exit_code == 0 && checked->err.empty();
}

/// What the agent is called with when the script runs, with programs of this folder in the place of others.
std::string agent_line(const BatchSystem& system, const QueueSpec& spec, const std::string& starter) {
  const testing_support::TempFolder folder;
  const auto program = [&](const std::string& name, const std::string& body) {
    const auto path = folder.write(name, "#!/bin/bash\n" + body);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  };
  ScriptSite where = site();
  where.gauntlet = program("it's gauntlet", "printf '%s|' \"$@\"\n");
  program(starter, "while [ \"$1\" != bash ] && [ \"$1\" != /bin/bash ]; do shift; done\nexec \"$@\"\n");
  program("date", "echo 1000000\n");
  const auto script = folder.write("script", system.script(spec, where, ""));
  const auto ran = run_subprocess(
      {"env", "PATH=" + folder.path().string() + ":/usr/bin:/bin", "SLURM_JOB_END_TIME=1014400",
       "SLURM_JOB_NUM_NODES=1", "SLURMD_NODENAME=n1", "SLURM_CPUS_ON_NODE=6", "bash", script.string()},
      Milliseconds(60000));
  EXPECT_TRUE(ran);
  EXPECT_EQ(ran->err, "");
  return ran->out;
}

TEST(Slurm, AsksForWhatTheQueueSays) {
  QueueSpec spec = slurm_spec();
  spec.gpus = 4;
  spec.nodes = 2;
  spec.memory_mb = 4096;
  spec.time_s = 26 * 3600;
  const std::string script = slurm().script(spec, site(), "");
  for (const char* line : {"#SBATCH --job-name=gauntlet-0a1b2c-7\n", "#SBATCH --partition=\"main\"\n",
                           "#SBATCH --time=1-02:00:00\n", "#SBATCH --nodes=2\n",
                           "#SBATCH --cpus-per-task=4\n", "#SBATCH --gres=gpu:4\n", "#SBATCH --mem=4096M\n",
                           "#SBATCH --no-requeue\n", "#SBATCH --output=\"/data/my runs/alloc/50%%.log\"\n"}) {
    EXPECT_THAT(script, HasSubstr(line));
  }
  EXPECT_THAT(script, Not(HasSubstr("token")));
  EXPECT_TRUE(is_shell(script));
  spec.extra = {"--account=a", "--qos=b"};
  EXPECT_THAT(slurm().submit(spec, "/s"),
              ElementsAre("sbatch", "--parsable", "--account=a", "--qos=b", "/s"));
  EXPECT_THAT(slurm().check(spec, "/s"),
              ElementsAre("sbatch", "--test-only", "--account=a", "--qos=b", "/s"));
}

TEST(Slurm, AgentsLeaveBeforeTheAllocationEnds) {
  EXPECT_EQ(
      agent_line(slurm(), slurm_spec(), "srun"),
      "worker|--workdir|/data/my runs|--lifetime|14340s|--drain-grace|20|--exit-without-coordinator|600|"
      "--label|alloc=7|--no-gpus|--name|n1|--cpus|6|");
}

TEST(Slurm, ReadsWhatSbatchPrints) {
  EXPECT_EQ(*slurm().read_submitted("123\n"), "123");
  EXPECT_EQ(*slurm().read_submitted("123;cluster\n"), "123");
  EXPECT_THAT(slurm().read_submitted("sbatch: hello\n").error().message, HasSubstr("'sbatch: hello'"));
  EXPECT_FALSE(slurm().read_submitted(""));
  EXPECT_TRUE(slurm().says_no_partition("sbatch: error: invalid partition specified: nope"));
  EXPECT_FALSE(slurm().says_no_partition("Requested node configuration is not available"));
}

TEST(Slurm, ReadsListings) {
  const auto jobs = *slurm().read_list(
      "12|PENDING|gauntlet-0a1b2c-7|Resources\n"
      "13|RUNNING|other|None\n"
      "14|NODE_FAIL|x|NodeDown\n"
      "15|FAILED|x|NonZeroExitCode\n"
      "a warning of the site\n"
      "16|POWERED_DOWN|x|None\n");
  ASSERT_THAT(jobs, SizeIs(5));
  EXPECT_EQ(jobs[0].id, "12");
  EXPECT_EQ(jobs[0].name, "gauntlet-0a1b2c-7");
  EXPECT_EQ(jobs[0].state, BatchJobState::kPending);
  EXPECT_EQ(jobs[0].reason, "Resources");
  EXPECT_EQ(jobs[1].state, BatchJobState::kRunning);
  EXPECT_EQ(jobs[1].reason, "");
  EXPECT_EQ(jobs[2].state, BatchJobState::kEnded);
  EXPECT_FALSE(jobs[2].failed);
  EXPECT_TRUE(jobs[3].failed);
  EXPECT_EQ(jobs[4].state, BatchJobState::kUnknown);
  EXPECT_THAT(*slurm().read_list(""), IsEmpty());
  EXPECT_FALSE(slurm().read_list("Slurm is being upgraded today\n"));
}

TEST(Pbs, AsksForWhatTheQueueSays) {
  QueueSpec spec = slurm_spec();
  spec.system = "pbs";
  spec.partition = "gpu";
  spec.nodes = 2;
  spec.gpus = 4;
  spec.time_s = 26 * 3600;
  const std::string script = pbs().script(spec, site(), "");
  for (const char* line :
       {"#PBS -N gauntlet-0a1b2c-7\n", "#PBS -q gpu\n", "#PBS -l select=2:ncpus=4:ngpus=4\n",
        "#PBS -l walltime=26:00:00\n", "#PBS -r n\n"}) {
    EXPECT_THAT(script, HasSubstr(line));
  }
  EXPECT_TRUE(is_shell(script));
  EXPECT_THAT(pbs().submit(spec, "/s"), ElementsAre("qsub", "/s"));
}

TEST(Pbs, AgentsLeaveBeforeTheAllocationEnds) {
  QueueSpec spec = slurm_spec();
  spec.system = "pbs";
  const std::string host = run_subprocess({"hostname", "-s"}, Milliseconds(60000))->out;
  const std::string line = fmt::format(
      "worker|--workdir|/data/my "
      "runs|--lifetime|14340s|--drain-grace|20|--exit-without-coordinator|600|--label|"
      "alloc=7|--no-gpus|--name|{}|--cpus|4|",
      host.substr(0, host.size() - 1));
  EXPECT_EQ(agent_line(pbs(), spec, "unused"), line);
  spec.nodes = 2;
  EXPECT_EQ(agent_line(pbs(), spec, "pbsdsh"), line);
}

TEST(Pbs, ReadsWhatItsCommandsPrint) {
  EXPECT_EQ(*pbs().read_submitted("17.head\n"), "17.head");
  EXPECT_FALSE(pbs().read_submitted("qsub: Unknown queue\n"));
  EXPECT_TRUE(pbs().says_no_partition("qsub: Unknown queue"));
  const auto jobs = *pbs().read_list(
      "Job Id: 17.head\n"
      "    Job_Name = gauntlet-0a1b2c-7\n"
      "    job_state = Q\n"
      "    comment = Not Running: Insufficient amount of resource: ngpus\n"
      "    Variable_List = PBS_O_SHELL=bash,PBS_O_LANG=C,\n"
      "\tPBS_O_PATH=/bin\n"
      "\n"
      "Job Id: 18.head\n"
      "    Job_Name = b\n"
      "    job_state = F\n"
      "    Exit_status = 1\n"
      "Job Id: 19.head\n"
      "    Job_Name = c\n"
      "    job_state = F\n"
      "    Exit_status = 271\n"
      "Job Id: 20.head\n"
      "    job_state = R\n");
  ASSERT_THAT(jobs, SizeIs(4));
  EXPECT_EQ(jobs[0].id, "17.head");
  EXPECT_EQ(jobs[0].name, "gauntlet-0a1b2c-7");
  EXPECT_EQ(jobs[0].state, BatchJobState::kPending);
  EXPECT_THAT(jobs[0].reason, HasSubstr("ngpus"));
  EXPECT_TRUE(jobs[1].failed);
  EXPECT_EQ(jobs[1].reason, "exit status 1");
  EXPECT_EQ(jobs[2].state, BatchJobState::kEnded);
  EXPECT_FALSE(jobs[2].failed);
  EXPECT_EQ(jobs[3].state, BatchJobState::kRunning);
  EXPECT_FALSE(pbs().read_list("Connection refused\n"));
}

TEST(BatchSystems, EveryOneHasAScriptThatAShellReads) {
  for (const BatchSystem* system : batch_systems()) {
    QueueSpec spec = slurm_spec();
    spec.system = system->name;
    EXPECT_TRUE(check(spec)) << system->name;
    for (const std::int64_t nodes : {1, 3}) {
      spec.nodes = nodes;
      EXPECT_TRUE(is_shell(system->script(spec, site(), ""))) << system->name;
      EXPECT_TRUE(is_shell(system->script(spec, site(), "agents &\nwait\n"))) << system->name;
    }
    EXPECT_THAT(cancel_command(*system, std::vector<std::string>{"1", "2"}),
                ElementsAre(std::string(system->canceller), "1", "2"));
  }
}

TEST(BatchSystems, TimesAreWrittenAsClocks) {
  EXPECT_EQ(clock_text(90, true), "00:01:30");
  EXPECT_EQ(clock_text(100 * 3600, true), "4-04:00:00");
  EXPECT_EQ(clock_text(100 * 3600, false), "100:00:00");
  EXPECT_EQ(shell_quoted("it's"), "'it'\\''s'");
}

}  // namespace
}  // namespace gauntlet::alloc
