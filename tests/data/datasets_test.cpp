// Every registered dataset through its interface.
#include <gmock/gmock.h>

#include <cstdlib>
#include <map>
#include <set>

#include "core/data/dataset.hpp"
#include "core/data/inspect.hpp"
#include "tests/data/picto_support.hpp"
#include "tests/data/small_set.hpp"

namespace gauntlet::data {
namespace {

using testing::HasSubstr;
using testing_support::bytes_of_file;
using testing_support::TempFolder;

const DatasetEntry& entry_of(std::string_view name) { return **dataset_registry().find(name); }

Json complete(std::string_view name, const Json& options) {
  return complete_config(entry_of(name).about.fields(), options, name).value();
}

std::filesystem::path make(const TempFolder& folder, std::string_view to, std::string_view name,
                           const Json& options, int n_threads = 2) {
  const auto path = folder / to;
  std::filesystem::create_directories(path);
  const Status made = entry_of(name).prepare(complete(name, options), path, n_threads, {});
  EXPECT_TRUE(made) << made.error().message;
  return path;
}

TEST(Datasets, AreListedByName) {
  EXPECT_THAT(dataset_registry().names(), testing::IsSupersetOf({"custom", "flickr25k", "mscoco", "nuswide",
                                                                 "picto", "picto_scenes", "prepared"}));
  const auto unknown = dataset_registry().find("picto_scene");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message,
              HasSubstr("unknown dataset 'picto_scene'; did you mean 'picto_scenes'?"));
}

TEST(Datasets, OnlyWhereThingsAreIsALocation) {
  for (const DatasetEntry* entry : dataset_registry().entries()) {
    for (const FieldInfo& field : entry->about.fields()) {
      const bool is_place = field.name == "path" || field.name == "source" || field.name == "drawings" ||
                            field.name == "font" || field.name == "pictures" || field.name == "emoji_test" ||
                            field.name == "cldr_dir" || field.name == "openclipart" || field.name == "stamps";
      EXPECT_EQ(field.location, is_place) << entry->about.name << "." << field.name;
    }
  }
}

TEST(Datasets, TheListSaysWhatEachNeeds) {
  std::map<std::string, Json> list;
  for (const Json& each : list_datasets()) list[each["name"]] = each;
  EXPECT_EQ(list["picto_scenes"]["needs"][0]["option"], "font");
  EXPECT_EQ(list["prepared"]["available"], false);
  EXPECT_EQ(list["prepared"]["detail"], "prepared: 'path' is missing; give the prepared folder");
  EXPECT_EQ(list["flickr25k"]["available"], false);
  EXPECT_EQ(list["flickr25k"]["needs"][0]["option"], "source");
  EXPECT_THAT(list["flickr25k"]["detail"].get<std::string>(),
              HasSubstr("flickr25k: 'source' is missing; give the folder that holds mirflickr/ (im1.jpg"));
}

TEST(PictoScenes, OptionsThatDoNotFitAreRefusedBeforeAnythingIsRead) {
  const auto message = [](const Json& options) {
    const auto id = entry_of("picto_scenes").content_id(complete("picto_scenes", options));
    return id ? std::string("accepted") : id.error().message;
  };
  EXPECT_EQ(message({{"preset", "custom"}}),
            "picto_scenes: preset 'custom' needs image_px, n_pairs, n_query and n_train, each above 0");
  EXPECT_EQ(message({{"image_px", 4}}),
            "picto_scenes: 'image_px' is 4; allowed: 0 (the preset's) or 8 to 1024");
  EXPECT_EQ(message({{"preset", "smoke"}, {"n_query", 400}}),
            "picto_scenes: n_query 400 and n_train 300 are more than the 500 pairs");
  EXPECT_EQ(message({{"size_lo", 800}}), "picto_scenes: 'size_lo' is 800; allowed: at most size_hi, 700");
  EXPECT_THAT(message({{"font", "/nowhere/font.ttf"}}), HasSubstr("Debian package fonts-noto-color-emoji"));
}

TEST(PictoScenes, SmokeIsTheSameForAnyNumberOfThreads) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const TempFolder folder;
  const auto one = make(folder, "one", "picto_scenes", {{"preset", "smoke"}}, 1);
  const auto eight = make(folder, "eight", "picto_scenes", {{"preset", "smoke"}}, 8);
  for (const char* file : {"images.npy", "text.npy", "labels.npy", "split.npy", "dataset.json"}) {
    EXPECT_EQ(bytes_of_file(one / file), bytes_of_file(eight / file)) << file;
  }
  const auto set = PreparedSet::open(one);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->width(), 32);
  EXPECT_EQ(set->text_dim(), 985);
  EXPECT_EQ(set->rows(Part::kQuery).size(), 50U);
  EXPECT_EQ(set->rows(Part::kTrain).size(), 300U);
  EXPECT_EQ(set->rows(Part::kRetrieval).size(), 450U);
  EXPECT_EQ(set->about()["name"], "picto_scenes(1,32)");
  EXPECT_EQ(set->about()["warnings"], Json::array());
  EXPECT_EQ(set->about()["source"],
            entry_of("picto_scenes").content_id(complete("picto_scenes", Json::object())).value());
}

TEST(PictoScenes, VerificationKnowsThePublishedNumbers) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const TempFolder folder;
  const auto path =
      make(folder, "set", "picto_scenes", {{"preset", "quick"}, {"n_pairs", 1100}, {"n_train", 500}});
  const auto report = verify(path);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ((*report)["ok"], true) << report->dump(1);
  std::set<std::string> names;
  for (const Json& check : (*report)["checks"]) names.insert(check["name"]);
  EXPECT_TRUE(names.contains("published hash of images, first 1000 rows")) << report->dump(1);
  EXPECT_TRUE(names.contains("published hash of labels, first 1000 rows"));
  EXPECT_TRUE(names.contains("hash of split"));
}

TEST(PictoScenes, OtherChoicesAreOtherSetsAndNotComparedWithPublishedNumbers) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const TempFolder folder;
  const auto path = make(folder, "set", "picto_scenes", {{"preset", "smoke"}, {"holdout", 150}, {"seed", 2}});
  const auto report = verify(path);
  ASSERT_TRUE(report);
  EXPECT_EQ((*report)["ok"], true) << report->dump(1);
  EXPECT_THAT(report->dump(), testing::Not(HasSubstr("published")));
  EXPECT_EQ((*inspect(path))["name"], "picto_scenes(2,32,holdout=150)");
}

TEST(Picto, IsPreparedAndVerified) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const TempFolder folder;
  const auto path = make(folder, "set", "picto", Json::object());
  const auto report = verify(path);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ((*report)["ok"], true) << report->dump(1);
  EXPECT_THAT(report->dump(), HasSubstr("published hash of images, first 5 rows"));
  const auto set = PreparedSet::open(path);
  ASSERT_TRUE(set);
  EXPECT_NEAR(stats(*set)["chance_map"].get<double>(), 0.096754, 5e-7);
}

TEST(Prepare, TellsHowFarItIs) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const TempFolder folder;
  double last = -1;
  const Status made = entry_of("picto_scenes")
                          .prepare(complete("picto_scenes", {{"preset", "smoke"}}), folder.path(), 1,
                                   [&](double fraction, std::string_view phase) {
                                     EXPECT_GE(fraction, last);
                                     EXPECT_FALSE(phase.empty());
                                     last = fraction;
                                   });
  ASSERT_TRUE(made);
  EXPECT_EQ(last, 1.0);
}

TEST(Prepare, AFolderThatCannotBeWrittenIsNamed) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const Status made = entry_of("picto_scenes")
                          .prepare(complete("picto_scenes", {{"preset", "smoke"}}), "/nowhere/set", 1, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "cannot write /nowhere/set/prepare.journal: No such file or directory");
}

TEST(Prepared, IsIdentifiedByContentAndCopied) {
  const TempFolder folder;
  const auto source = SmallSet().write(folder);
  const Json options = {{"path", source.string()}};
  const auto id = entry_of("prepared").content_id(complete("prepared", options));
  ASSERT_TRUE(id) << id.error().message;
  EXPECT_EQ(id->size(), 64U);
  const auto copy = make(folder, "copy", "prepared", options);
  EXPECT_EQ(bytes_of_file(copy / "images.npy"), bytes_of_file(source / "images.npy"));
  EXPECT_EQ(entry_of("prepared").content_id(complete("prepared", {{"path", copy.string()}})), *id)
      << "where it lies does not matter";
  SmallSet other;
  other.labels[0] = 0;
  other.write(folder);
  EXPECT_NE(entry_of("prepared").content_id(complete("prepared", options)), *id);
}

TEST(Prepared, ValuesOutOfRangeAreRefused) {
  const TempFolder folder;
  SmallSet small;
  small.text[4] = 9;
  const auto source = small.write(folder);
  const Status made = entry_of("prepared").prepare({{"path", source.string()}}, folder / "out", 1, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, source.string() + ": text.npy: row 1 holds 9; allowed: 0, 1");
  EXPECT_EQ(entry_of("prepared").content_id({{"path", "/nowhere"}}).error().code, ErrorCode::kNotFound);
}

TEST(FileHashes, WorkWithoutACache) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const char* before = std::getenv("XDG_CACHE_HOME");
  const std::string kept = before == nullptr ? "" : before;
  const TempFolder folder;
  const auto id = [] { return entry_of("picto").content_id(complete("picto", Json::object())).value(); };
  ::setenv("XDG_CACHE_HOME", folder.path().c_str(), 1);
  const std::string fresh = id();
  const std::filesystem::path cache = folder.path() / "gauntlet" / "file-hashes.json";
  EXPECT_TRUE(std::filesystem::exists(cache));
  EXPECT_EQ(id(), fresh) << "remembered";
  for (const char* damaged : {"", "{", "[]", R"({"files": 3})", R"({"files": {"/x": 1}})"}) {
    folder.write("gauntlet/file-hashes.json", damaged);
    EXPECT_EQ(id(), fresh) << damaged;
  }
  ::setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
  EXPECT_EQ(id(), fresh) << "unwritable";
  if (before != nullptr) {
    ::setenv("XDG_CACHE_HOME", kept.c_str(), 1);
  } else {
    ::unsetenv("XDG_CACHE_HOME");
  }
}

}  // namespace
}  // namespace gauntlet::data
