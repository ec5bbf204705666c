// Folders made row by row: same bytes whatever the threads and interruptions, rows that are left out.
#include "core/data/detail/prepared_writer.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "core/data/detail/splits.hpp"
#include "core/data/inspect.hpp"
#include "core/data/prepared_set.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::data::detail {
namespace {

using testing::HasSubstr;
using testing_support::bytes_of_file;
using testing_support::TempFolder;

constexpr std::int64_t kItems = 1000;  // four blocks

/// 1,000 rows of 4 x 5 pictures; the last byte of a row's picture is the row's number modulo 251.
PreparedPlan small_plan() {
  PreparedPlan plan;
  plan.layout = {.n_items = kItems, .height = 4, .width = 5, .text_dim = 3, .n_labels = 2};
  plan.about = {{"name", "small"}, {"label_names", {"round", "red"}}};
  plan.make_filler = [] {
    return [](std::int64_t row, const RowOut& out) -> Result<RowOutcome> {
      std::ranges::fill(out.image, static_cast<std::uint8_t>(row % 251));
      out.text[static_cast<std::size_t>(row % 3)] = 1;
      out.labels[static_cast<std::size_t>(row % 2)] = 1;
      return RowOutcome{};
    };
  };
  plan.make_split = [](const KeptRows& kept) {
    return row_order_split(kept.n_items(), {.n_query = 10, .n_train = 20});
  };
  return plan;
}

/// The plan with something done at one row before it is made.
PreparedPlan with_event(std::int64_t at, std::function<Result<RowOutcome>()> event) {
  PreparedPlan plan = small_plan();
  plan.make_filler = [usual = plan.make_filler, at, event] {
    return [fill = usual(), at, event](std::int64_t row, const RowOut& out) -> Result<RowOutcome> {
      Result<RowOutcome> usual_outcome = fill(row, out);
      return row == at ? event() : usual_outcome;
    };
  };
  return plan;
}

std::filesystem::path fresh(const TempFolder& folder, std::string_view name) {
  std::filesystem::create_directories(folder / name);
  return folder / name;
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(folder))
    names.push_back(file.path().filename());
  std::ranges::sort(names);
  return names;
}

std::string all_bytes(const std::filesystem::path& folder) {
  std::string bytes;
  for (const std::string& name : names_in(folder)) bytes += name + "\n" + bytes_of_file(folder / name);
  return bytes;
}

/// What an undisturbed run of the plan writes.
std::string undisturbed(const PreparedPlan& plan) {
  const TempFolder folder;
  const auto path = fresh(folder, "set");
  const Status written = write_prepared(path, plan, 1, {});
  EXPECT_TRUE(written) << written.error().message;
  return all_bytes(path);
}

/// Runs `body` in a child process; its wait status.
int in_child(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(PreparedWriter, MakesThePicturesOfAnyShapeForAnyNumberOfThreads) {
  const TempFolder folder;
  const auto path = fresh(folder, "set");
  ASSERT_TRUE(write_prepared(path, small_plan(), 7, {}));
  EXPECT_EQ(all_bytes(path), undisturbed(small_plan()));
  EXPECT_EQ(names_in(path),
            (std::vector<std::string>{"dataset.json", "images.npy", "labels.npy", "split.npy", "text.npy"}));
  const auto set = PreparedSet::open(path);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->n_items(), kItems);
  EXPECT_EQ(set->height(), 4);
  EXPECT_EQ(set->width(), 5);
  EXPECT_EQ(set->images()[999 * 60 + 59], 999 % 251);
  EXPECT_EQ(set->rows(Part::kQuery).size(), 10U);
  EXPECT_EQ((*verify(path))["ok"], true);
}

TEST(PreparedWriter, HoldsFeaturesAndRealTexts) {
  const TempFolder folder;
  PreparedPlan plan = small_plan();
  plan.layout = {
      .n_items = 300, .feature_dim = 6, .text_dim = 2, .text_type = io::DType::kF32, .n_labels = 2};
  plan.make_filler = [] {
    return [](std::int64_t row, const RowOut& out) -> Result<RowOutcome> {
      EXPECT_TRUE(out.image.empty() && out.text.empty());
      out.features[5] = static_cast<float>(row);
      out.text_f32[0] = -0.5F;
      return RowOutcome{};
    };
  };
  const auto path = fresh(folder, "set");
  ASSERT_TRUE(write_prepared(path, plan, 2, {}));
  const auto set = PreparedSet::open(path);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->feature_dim(), 6);
  EXPECT_EQ(set->features()[299 * 6 + 5], 299.0F);
  EXPECT_EQ(set->text_f32()[2 * 299], -0.5F);
  EXPECT_EQ((*verify(path))["ok"], true);
}

TEST(PreparedWriter, AKilledRunGoesOnWhereItStopped) {
  const std::string whole = undisturbed(small_plan());
  for (const std::int64_t killed_at : {0, 300, 767, 999}) {
    const TempFolder folder;
    const auto path = fresh(folder, "set");
    const int status = in_child([&] {
      const auto plan = with_event(killed_at, [] {
        ::kill(::getpid(), SIGKILL);
        return Result<RowOutcome>();
      });
      static_cast<void>(write_prepared(path, plan, 2, {}));
    });
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    EXPECT_FALSE(std::filesystem::exists(path / "dataset.json"));
    PreparedPlan plan = small_plan();
    std::atomic<std::int64_t> n_made = 0;
    plan.make_filler = [&n_made, usual = plan.make_filler] {
      return [&n_made, fill = usual()](std::int64_t row, const RowOut& out) {
        ++n_made;
        return fill(row, out);
      };
    };
    const Status written = write_prepared(path, plan, 3, {});
    ASSERT_TRUE(written) << written.error().message;
    EXPECT_EQ(n_made, kItems - killed_at / 256 * 256) << "finished blocks are not made again";
    EXPECT_EQ(all_bytes(path), whole) << killed_at;
  }
}

TEST(PreparedWriter, ADiskThatTakesNoMoreLeavesAFolderThatGoesOn) {
  const TempFolder folder;
  const auto path = fresh(folder, "set");
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {40000, 40000};  // the third block of pictures does not fit
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const Status written = write_prepared(path, small_plan(), 1, {});
    ::_exit(!written && written.error().message.find("images.npy: File too large") != std::string::npos ? 7
                                                                                                        : 8);
  });
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_THAT(bytes_of_file(path / "prepare.journal"), HasSubstr(R"("block":1)"));
  ASSERT_TRUE(write_prepared(path, small_plan(), 1, {}));
  EXPECT_EQ(all_bytes(path), undisturbed(small_plan()));
}

TEST(PreparedWriter, WhatWasDamagedMeanwhileIsMadeAgain) {
  const std::string whole = undisturbed(small_plan());
  const auto stopped = with_event(900, [] { return fail(ErrorCode::kIo, "stopped"); });
  const auto damage = [&](const std::function<void(const std::filesystem::path&)>& how) {
    const TempFolder folder;
    const auto path = fresh(folder, "set");
    const Status written = write_prepared(path, stopped, 1, {});
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().message, "stopped");
    how(path);
    const Status again = write_prepared(path, small_plan(), 2, {});
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(all_bytes(path), whole);
  };
  damage([](const auto& path) {  // a byte of the second block
    std::fstream file(path / "images.npy.part", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(128 + 300 * 60);
    file.put('\xFF');
  });
  damage([](const auto& path) { std::filesystem::resize_file(path / "text.npy.part", 200); });
  damage([](const auto& path) { std::filesystem::resize_file(path / "labels.npy.part", 0); });
  damage([](const auto& path) {  // the last line of the journal torn
    std::filesystem::resize_file(path / "prepare.journal",
                                 std::filesystem::file_size(path / "prepare.journal") - 3);
  });
  damage([](const auto& path) { std::filesystem::resize_file(path / "prepare.journal", 5); });
  damage([](const auto& path) {
    std::ofstream(path / "prepare.journal", std::ios::app) << "{\"block\": 9}\nx\n";
  });
  damage([](const auto& path) {  // killed while renaming
    std::filesystem::rename(path / "images.npy.part", path / "images.npy");
    std::ofstream(path / "split.npy.tmp77-1") << "half";
  });
}

TEST(PreparedWriter, AnythingElseInTheFolderIsRefused) {
  const TempFolder folder;
  const auto message = [](const Status& status) {
    return status ? std::string("written") : status.error().message;
  };
  const auto path = fresh(folder, "set");
  ASSERT_FALSE(write_prepared(path, with_event(900, [] { return fail(ErrorCode::kIo, "stopped"); }), 1, {}));
  PreparedPlan other = small_plan();
  other.about["choices"] = {{"seed", 2}};
  EXPECT_EQ(message(write_prepared(path, other, 1, {})),
            path.string() +
                " holds an unfinished preparation of another source or with other options; repeat that "
                "one, delete the folder, or choose another");
  std::ofstream(path / "mine.txt") << "x";
  EXPECT_EQ(message(write_prepared(path, small_plan(), 1, {})),
            path.string() + " is not empty: it holds mine.txt; choose another folder");
  std::filesystem::remove(path / "mine.txt");
  EXPECT_EQ(message(write_prepared(path, small_plan(), 1, {})), "written");
  EXPECT_THAT(message(write_prepared(path, small_plan(), 1, {})), HasSubstr("is not empty: it holds "));
}

TEST(PreparedWriter, TwoProcessesNeverShareAFolder) {
  const TempFolder folder;
  const auto path = fresh(folder, "set");
  std::string second;
  const auto plan = with_event(500, [&]() -> Result<RowOutcome> {
    second = write_prepared(path, small_plan(), 1, {}).error().message;
    return RowOutcome{};
  });
  ASSERT_TRUE(write_prepared(path, plan, 1, {}));
  EXPECT_EQ(second,
            "another process is preparing " + path.string() + "; wait for it or choose another folder");
}

TEST(PreparedWriter, RowsThatCannotBeReadLeaveEveryArrayBeforeTheSplitIsDrawn) {
  PreparedPlan plan = small_plan();
  plan.make_filler = [usual = plan.make_filler] {
    return [fill = usual()](std::int64_t row, const RowOut& out) -> Result<RowOutcome> {
      if (row == 2 || row == 999) return RowOutcome{.dropped = "im" + std::to_string(row) + ".jpg: \xFFtorn"};
      if (row == 5) out.image[0] = 7;
      Result<RowOutcome> outcome = fill(row, out);
      if (row == 700) outcome->remark = "im700.jpg: a damaged part";
      return outcome;
    };
  };
  const TempFolder folder;
  const auto path = fresh(folder, "set");
  ASSERT_TRUE(write_prepared(path, plan, 4, {}));
  const auto set = PreparedSet::open(path);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->n_items(), kItems - 2);
  EXPECT_EQ(set->images()[2 * 60], 3) << "row 3 moved up";
  EXPECT_EQ(set->text_u8()[2 * 3], 1) << "row 3 has word 0";
  EXPECT_EQ(set->labels()[2 * 2 + 1], 1) << "row 3 has label 1";
  EXPECT_EQ(set->rows(Part::kQuery).size(), 10U);
  EXPECT_EQ(set->about()["counts"]["retrieval"], kItems - 12);
  EXPECT_EQ(set->about()["dropped"]["count"], 2);
  EXPECT_EQ(set->about()["dropped"]["listed"][1], "im999.jpg: \xEF\xBF\xBDtorn");
  EXPECT_EQ(set->about()["remarks"]["listed"][0], "im700.jpg: a damaged part");
  EXPECT_EQ((*verify(path))["ok"], true);

  plan.strict = true;
  const Status strict = write_prepared(fresh(folder, "strict"), plan, 4, {});
  ASSERT_FALSE(strict);
  EXPECT_EQ(strict.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(strict.error().message, HasSubstr("item 2: im2.jpg: "));

  // Nor does a strict run take over what one that was not had dropped.
  PreparedPlan stopped = plan;
  stopped.strict = false;
  stopped.make_filler = [usual = plan.make_filler] {
    return [make = usual()](std::int64_t row, const RowOut& out) -> Result<RowOutcome> {
      if (row == 600) return fail(ErrorCode::kIo, "stopped");
      return make(row, out);
    };
  };
  const auto half = fresh(folder, "half");
  EXPECT_EQ(write_prepared(half, stopped, 1, {}).error().message, "stopped");
  EXPECT_THAT(write_prepared(half, plan, 1, {}).error().message, HasSubstr("item 2: im2.jpg: "));

  plan = small_plan();
  plan.make_filler = [] {
    return [](std::int64_t, const RowOut&) -> Result<RowOutcome> { return RowOutcome{.dropped = "missing"}; };
  };
  const auto empty = fresh(folder, "empty");
  EXPECT_EQ(write_prepared(empty, plan, 1, {}).error().message,
            empty.string() + ": no item is left for the set; 1000 were dropped, the first because missing");
}

TEST(PreparedWriter, ValuesThatNoSetMayHoldAreRefusedWithTheItem) {
  const auto message = [](float text, std::uint8_t label) {
    PreparedPlan plan = small_plan();
    plan.layout.text_type = io::DType::kF32;
    plan.make_filler = [=] {
      return [=](std::int64_t row, const RowOut& out) -> Result<RowOutcome> {
        if (row == 261) out.text_f32[1] = text;
        if (row == 261) out.labels[0] = label;
        return RowOutcome{};
      };
    };
    const TempFolder folder;
    const Status written = write_prepared(fresh(folder, "set"), plan, 3, {});
    return written ? std::string("written") : written.error().message;
  };
  EXPECT_EQ(message(0, 2), "item 261: label 0 is 2; allowed: 0, 1");
  EXPECT_EQ(message(INFINITY, 0), "item 261: text dimension 1 is inf; allowed: finite numbers");
  EXPECT_EQ(message(-3, 1), "written");
}

/// Pictures written by steps: step s fills row s of every picture.
PreparedPlan plan_by_steps(std::function<Status(std::int64_t)> event) {
  PreparedPlan plan = small_plan();
  plan.make_filler = [] {
    return [](std::int64_t row, const RowOut& out) -> Result<RowOutcome> {
      EXPECT_TRUE(out.image.empty());
      out.labels[static_cast<std::size_t>(row % 2)] = 1;
      return RowOutcome{};
    };
  };
  plan.image_steps = {.n_steps = 4, .write = [event](std::int64_t step, const ImageMapping& out) -> Status {
                        GAUNTLET_CHECK_OK(event(step));
                        for (std::size_t item = 0; item < static_cast<std::size_t>(kItems); ++item) {
                          const std::size_t at = item * 60 + static_cast<std::size_t>(step) * 15;
                          std::ranges::fill(
                              out.bytes().subspan(at, 15),
                              static_cast<std::byte>(item % 200 + static_cast<std::size_t>(step)));
                        }
                        return {};
                      }};
  return plan;
}

TEST(PreparedWriter, PicturesMayComeInStepsAcrossAllItems) {
  const auto calm = plan_by_steps([](std::int64_t) { return Status(); });
  const std::string whole = undisturbed(calm);
  const TempFolder folder;
  const auto path = fresh(folder, "set");
  const int status = in_child([&] {
    const auto killed = plan_by_steps([](std::int64_t step) {
      if (step == 2) ::kill(::getpid(), SIGKILL);
      return Status();
    });
    static_cast<void>(write_prepared(path, killed, 2, {}));
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  std::vector<std::int64_t> steps;
  ASSERT_TRUE(write_prepared(path, plan_by_steps([&](std::int64_t step) {
                               steps.push_back(step);
                               return Status();
                             }),
                             2, {}));
  EXPECT_EQ(steps, (std::vector<std::int64_t>{2, 3})) << "the first two were finished";
  EXPECT_EQ(all_bytes(path), whole);
  const auto set = PreparedSet::open(path);
  ASSERT_TRUE(set);
  EXPECT_EQ(set->images()[999 * 60 + 16], 199 + 1);
  EXPECT_EQ((*verify(path))["ok"], true);
}

}  // namespace
}  // namespace gauntlet::data::detail
