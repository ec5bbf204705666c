// MIRFLICKR-25K from a small distribution of its layout: every rule, every trap.
#include <gmock/gmock.h>

#include <map>

#include "core/data/detail/flickr_files.hpp"
#include "core/data/inspect.hpp"
#include "tests/data/photo_support.hpp"

namespace gauntlet::data {
namespace {

using testing::HasSubstr;

const Json kSmall = {{"split", "row_order"}, {"n_query", 2}, {"n_train", 3}};

Json with(Json options, const Json& more) {
  options.update(more);
  return options;
}

/// Twelve photos with tags sky, sea, dog. Photo id has the tag sky when even, sea when a multiple of 3; photo
/// 5 has none of the list, photo 7 an empty file. Labels: animals for ids up to 8, water for 2 and 10, tree
/// for 11.
PhotoSources flickr() {
  PhotoSources sources("flickr25k");
  sources.write("mirflickr/doc/common_tags.txt", "sky 845\nsea 301\r\ndog 20\n");
  for (int id = 1; id <= 12; ++id) {
    sources.picture("mirflickr/im" + std::to_string(id) + ".jpg", id * 10);
    std::string tags = id % 2 == 0 ? "sky\n" : "";
    tags += id % 3 == 0 ? "somethingelse\nsea\r\nsea" : "";
    if (id == 5) tags = "rare\n";
    sources.write("mirflickr/meta/tags/tags" + std::to_string(id) + ".txt", tags);
  }
  for (const detail::FlickrLabel& label : detail::flickr_labels()) {
    const std::string name = "mirflickr25k_annotations_v080/" + std::string(label.name);
    std::string ids;
    if (label.name == "animals") ids = "1\n2\n3\n4\n5\n6\n7\n8\n";
    if (label.name == "water") ids = "2\r\n10";
    if (label.name == "tree") ids = "11\n11\n";
    sources.write(name + ".txt", ids);
    if (label.has_relevant) sources.write(name + "_r1.txt", label.name == "tree" ? "11\n" : "");
  }
  sources.write("mirflickr25k_annotations_v080/README.txt", "not a list");
  return sources;
}

TEST(Flickr25k, KeepsItemsWithATagAndALabelInOrderOfTheirNumbers) {
  auto sources = flickr();
  const PreparedSet set = sources.set(kSmall);
  // Tagged: 2 3 4 6 8 9 10 12; of those labelled: 2 3 4 6 8 10.
  ASSERT_EQ(set.n_items(), 6);
  for (const auto& [row, id] : {std::pair{0, 2}, {1, 3}, {2, 4}, {3, 6}, {4, 8}, {5, 10}}) {
    EXPECT_NEAR(grey_of(set, row), id * 10, 1) << "10 comes after 8";
  }
  EXPECT_EQ(words_of(set, 0), "0");
  EXPECT_EQ(words_of(set, 1), "1") << "repeated tags count once, unknown ones not";
  EXPECT_EQ(words_of(set, 3), "0 1");
  EXPECT_EQ(labels_of(set, 0), "0 23") << "animals and water, first and last of the alphabet";
  EXPECT_EQ(labels_of(set, 5), "23");
  EXPECT_EQ(set.n_labels(), 24);
  EXPECT_EQ(set.text_dim(), 3);
  EXPECT_EQ(set.label_names()[14], "plant_life");
  EXPECT_EQ(set.about()["text_names"], (Json{"sky", "sea", "dog"}));
  EXPECT_EQ(set.about()["found"]["tag_ones"], 10) << "of all twelve";
  EXPECT_EQ(set.rows(Part::kQuery), (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(set.rows(Part::kTrain).size(), 3U);
}

TEST(Flickr25k, OffersTheOtherConventions) {
  auto sources = flickr();
  const PreparedSet labelled = sources.set(with(kSmall, {{"keep", "labelled"}}));
  EXPECT_EQ(labelled.n_items(), 10);
  EXPECT_EQ(words_of(labelled, 0), "") << "photo 1 has a label and no tag";
  EXPECT_EQ(sources.set(with(kSmall, {{"keep", "all"}})).n_items(), 12);
  const PreparedSet relevant = sources.set(with(kSmall, {{"keep", "labelled"}, {"relevant_labels", true}}));
  EXPECT_EQ(relevant.n_labels(), 38);
  EXPECT_EQ(labels_of(relevant, 9), "35 36") << "tree and tree_r1 of photo 11";
  EXPECT_EQ(relevant.label_names()[36], "tree_r1");
  const PreparedSet tail = sources.set(with(kSmall, {{"queries_at", "tail"}}));
  EXPECT_EQ(tail.rows(Part::kQuery), (std::vector<std::int64_t>{4, 5}));
  const PreparedSet random = sources.set({{"n_query", 2}, {"n_train", 1}, {"seed", 3}});
  EXPECT_EQ(random.rows(Part::kQuery).size(), 2U);
  EXPECT_EQ(random.about()["choices"]["split"], "random");
  EXPECT_EQ(random.about()["choices"]["seed"], 3);
}

TEST(Flickr25k, PicturesThatCannotBeReadLeaveTheSetBeforeTheSplit) {
  auto sources = flickr();
  sources.remove("mirflickr/im2.jpg");
  sources.write("mirflickr/im6.jpg", testing_support::plain_jpeg(400, 300, 9, 9, 9).substr(0, 700));
  const PreparedSet set = sources.set(with(kSmall, {{"n_train", 2}}));
  ASSERT_EQ(set.n_items(), 4);
  EXPECT_NEAR(grey_of(set, 0), 30, 1);
  EXPECT_EQ(words_of(set, 0), "1");
  EXPECT_EQ(set.rows(Part::kQuery).size(), 2U);
  EXPECT_EQ(set.about()["dropped"]["count"], 2);
  EXPECT_EQ(set.about()["dropped"]["listed"][0], "cannot read im2.jpg: No such file or directory");
  EXPECT_THAT(set.about()["dropped"]["listed"][1].get<std::string>(),
              HasSubstr("im6.jpg ends inside its picture"));
  EXPECT_EQ(set.about()["warnings"][0], "2 pictures could not be read and their items were left out");
  EXPECT_EQ(sources.refusal(with(kSmall, {{"strict", true}})),
            "item 0: cannot read im2.jpg: No such file or directory");
}

TEST(Flickr25k, MistakesInTheListsAreNamedWithTheirPlace) {
  const auto refusal = [](const std::string& name, std::string_view bytes) {
    auto sources = flickr();
    sources.write(name, bytes);
    return sources.refusal(kSmall);
  };
  EXPECT_EQ(refusal("mirflickr25k_annotations_v080/sky.txt", "1\n\n13\n"),
            "sky.txt: line 3 is '13'; allowed: the number of a photo, 1 to 12");
  EXPECT_EQ(refusal("mirflickr25k_annotations_v080/sky.txt", "1\nim2\n"),
            "sky.txt: line 2 is 'im2'; allowed: the number of a photo, 1 to 12");
  EXPECT_EQ(refusal("mirflickr/doc/common_tags.txt", "sky 1\nsea\n"),
            "doc/common_tags.txt: line 2 is not '<tag> <count>'");
  EXPECT_EQ(refusal("mirflickr/doc/common_tags.txt", "sky 1\nsea 2\nsky 3\n"),
            "doc/common_tags.txt: line 3 repeats the tag 'sky' of line 1");
  EXPECT_EQ(refusal("mirflickr/doc/common_tags.txt", "sk\xFFy 1\n"),
            "doc/common_tags.txt: line 1 is not UTF-8");
  EXPECT_EQ(refusal("mirflickr/doc/common_tags.txt", "\n"), "doc/common_tags.txt holds no tags");
  EXPECT_EQ(refusal("mirflickr/meta/tags/tagsx.txt", ""),
            "meta/tags holds tagsx.txt; tags<id>.txt with ids from 1 to 1000000 is read");
  EXPECT_EQ(refusal("mirflickr/meta/tags/tags14.txt", ""),
            "meta/tags/tags13.txt is missing: there are 13 tag files, the highest is of photo 14");
  auto sources = flickr();
  sources.remove("mirflickr25k_annotations_v080/tree.txt");
  EXPECT_THAT(sources.refusal(kSmall), HasSubstr("tree.txt: No such file or directory"));
  EXPECT_THAT(flickr().refusal({{"n_query", 5}, {"n_train", 5}}),
              HasSubstr("5 queries and 5 training items are more than the 6 items of the set"));
}

TEST(Flickr25k, ASplitThatCannotBeIsRefusedBeforePicturesAreRead) {
  for (const Json& options : {Json{{"n_query", 5}, {"n_train", 5}},
                              Json{{"split", "per_class"}, {"query_per_label", 7}, {"train_per_label", 1}}}) {
    auto sources = flickr();
    std::string error;
    const auto path = sources.prepare(options, error);
    EXPECT_THAT(error,
                testing::AnyOf(HasSubstr("are more than the 6 items"), HasSubstr("too few new items")));
    EXPECT_TRUE(std::filesystem::is_empty(path)) << error;
  }
}

TEST(Flickr25k, SaysWhichFolderIsExpected) {
  auto sources = flickr();
  EXPECT_EQ(
      sources.content_id({{"source", "/nowhere"}}).error().message,
      "flickr25k: there is no folder /nowhere; give the folder that holds mirflickr/ (im1.jpg ..., "
      "doc/common_tags.txt, meta/tags/tags1.txt ...) and mirflickr25k_annotations_v080/ (animals.txt ...)");
  sources.remove("mirflickr25k_annotations_v080");
  EXPECT_THAT(sources.refusal(kSmall),
              HasSubstr(" has no mirflickr25k_annotations_v080/animals.txt; give the folder"));
}

TEST(Flickr25k, IsIdentifiedByItsListsAndTheSizesOfItsPictures) {
  auto sources = flickr();
  const std::string id = sources.content_id().value();
  EXPECT_EQ(sources.content_id({{"keep", "all"}}).value(), id);
  sources.write("mirflickr/meta/tags/tags1.txt", "dog");
  const std::string other_tags = sources.content_id().value();
  EXPECT_NE(other_tags, id);
  sources.remove("mirflickr/im1.jpg");
  EXPECT_NE(sources.content_id().value(), other_tags);
  EXPECT_EQ(sources.set(kSmall).about()["source"], sources.content_id().value());
}

TEST(Flickr25k, LinksThatLeadNowhereAreUnreadablePictures) {
  auto sources = flickr();
  sources.remove("mirflickr/im4.jpg");
  std::filesystem::create_symlink("im4.jpg", sources.source() / "mirflickr/im4.jpg");
  std::filesystem::create_directory_symlink(".", sources.source() / "mirflickr/again");
  sources.write("mirflickr/\xFF.jpg", "x");
  const PreparedSet set = sources.set(kSmall);
  EXPECT_EQ(set.about()["dropped"]["listed"], Json{"cannot read im4.jpg: Too many levels of symbolic links"});
}

TEST(Flickr25k, VerificationNamesEveryDifferenceFromThePublishedNumbers) {
  auto sources = flickr();
  std::string error;
  const auto path =
      sources.prepare({{"split", "random"}, {"keep", "labelled"}, {"n_query", 2}, {"n_train", 3}}, error);
  const Json report = verify(path).value();
  EXPECT_EQ(report["ok"], false);
  std::map<std::string, std::string> failed;
  for (const Json& check : report["checks"]) {
    if (check["ok"] == false) failed[check["name"]] = check["detail"];
  }
  EXPECT_EQ(failed["published number of items"], "10 was found, 24581 is published (-24571)");
  EXPECT_EQ(failed["published number of text dimensions"], "3 was found, 1386 is published (-1383)");
  EXPECT_EQ(failed["published items with label animals"], "8 was found, 3216 is published (-3208)");
  EXPECT_EQ(failed["published labels in all"], "11 was found, 92902 is published (-92891)");
  EXPECT_EQ(failed["published labels per item"], "1.1 was found, 3.78 within 0.005 is published");
  EXPECT_TRUE(failed.contains("published chance MAP"));
  EXPECT_FALSE(failed.contains("published number of labels"));
  EXPECT_FALSE(failed.contains("published items without a label"));
  EXPECT_FALSE(failed.contains("hash of images"));
  const auto tagged = sources.prepare(kSmall, error);
  EXPECT_THAT(verify(tagged)->dump(),
              HasSubstr("7 in the set and 10 in the source were found, 94281 is published"));
  const auto other = sources.prepare(with(kSmall, {{"relevant_labels", true}}), error);
  EXPECT_EQ((*verify(other))["ok"], true) << "nothing is published of it";
}

TEST(Flickr25k, SameBytesForAnyNumberOfThreads) {
  auto sources = flickr();
  std::string error;
  const auto one = sources.prepare(kSmall, error, 1);
  const auto five = sources.prepare(kSmall, error, 5);
  for (const char* file : {"images.npy", "text.npy", "labels.npy", "split.npy", "dataset.json"}) {
    EXPECT_EQ(testing_support::bytes_of_file(one / file), testing_support::bytes_of_file(five / file))
        << file;
  }
}

}  // namespace
}  // namespace gauntlet::data
