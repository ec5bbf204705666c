// NUS-WIDE from a small distribution of its layout: every rule, every trap.
#include <gmock/gmock.h>

#include "core/data/detail/nus_files.hpp"
#include "tests/data/photo_support.hpp"

namespace gauntlet::data {
namespace {

using testing::HasSubstr;

const Json kSmall = {{"split", "row_order"}, {"n_query", 2}, {"n_train", 3}, {"concepts", "tc10"}};

Json with(Json options, const Json& more) {
  options.update(more);
  return options;
}

constexpr int kImages = 30;

/// Whether image `image` shows concept `at` (0 to 11). Concepts 3 and 7 are rare: with ten labels they are
/// none.
bool shows(int image, int at) {
  if (at == 3) return image == 1;
  if (at == 7) return image == 2 || image == 25;
  return image < 24 && image % 12 >= at - 2 && image % 12 <= at + 1;
}

std::string concept_name(int at) { return std::string(1, static_cast<char>('a' + at)) + "_concept"; }

/// Twelve concepts, four tags, thirty images. Image i has tag i % 5, none when that is 4.
PhotoSources nus() {
  PhotoSources sources("nuswide");
  std::string images, train, test, tags;
  for (int image = 0; image < kImages; ++image) {
    const std::string name = "dir" + std::to_string(image % 3) + "\\000" + std::to_string(image) + "_77.jpg";
    images += name + "\r\n";
    (image % 2 == 0 ? train : test) += name + "\n";
    std::string slashed = name;
    slashed[slashed.find('\\')] = '/';
    sources.picture("Flickr/" + slashed, image * 8);
    for (int tag = 0; tag < 4; ++tag) tags += tag == image % 5 ? "1\t" : "0\t";
    tags += "\n";
  }
  sources.write("ImageList/Imagelist.txt", images);
  sources.write("ImageList/TrainImagelist.txt", train);
  sources.write("ImageList/TestImagelist.txt", test);
  sources.write("NUS_WID_Tags/AllTags1k.txt", tags);
  sources.write("NUS_WID_Tags/TagList1k.txt", "nature\nsky\nblue\nwater\n");
  std::string concepts;
  for (int at = 0; at < 12; ++at) {
    concepts += concept_name(at) + "\n";
    std::string all, in_train, in_test;
    for (int image = 0; image < kImages; ++image) {
      const std::string line = shows(image, at) ? "1\n" : at == 5 && image == 28 ? "-2147483648\n" : "0\n";
      all += line;
      (image % 2 == 0 ? in_train : in_test) += line;
    }
    sources.write("Groundtruth/AllLabels/Labels_" + concept_name(at) + ".txt", all);
    sources.write("Groundtruth/TrainTestLabels/Labels_" + concept_name(at) + "_Train.txt", in_train);
    sources.write("Groundtruth/TrainTestLabels/Labels_" + concept_name(at) + "_Test.txt", in_test);
  }
  sources.write("ConceptsList/Concepts81.txt", concepts);
  return sources;
}

TEST(NusWide, LabelsAreTheMostFrequentConceptsInTheOrderOfTheList) {
  auto sources = nus();
  const PreparedSet set = sources.set(kSmall);
  EXPECT_EQ(set.n_items(), 24) << "images 24 to 29 show none of the ten";
  EXPECT_EQ(set.n_labels(), 10);
  EXPECT_EQ(set.label_names()[2], "c_concept");
  EXPECT_EQ(set.label_names()[3], "e_concept") << "d is rare";
  EXPECT_EQ(set.text_dim(), 4);
  EXPECT_EQ(words_of(set, 0), "0");
  EXPECT_EQ(words_of(set, 4), "") << "an all-zero text stays";
  EXPECT_EQ(labels_of(set, 0), "0 1 2") << "a, b, c";
  EXPECT_NEAR(grey_of(set, 13), 13 * 8, 1) << "the backslash is a folder";
  EXPECT_EQ(set.about()["found"]["items"], kImages);
  EXPECT_EQ(set.about()["found"]["tag_ones"], 24);
  EXPECT_EQ(set.about()["warnings"],
            Json{"Groundtruth/AllLabels/Labels_f_concept.txt: line 29 is -2147483648; read as 0"});
  EXPECT_EQ(set.about()["name"], "NUS-WIDE-tc10");
}

TEST(NusWide, OffersTheOtherConventions) {
  auto sources = nus();
  EXPECT_EQ(sources.set(with(kSmall, {{"keep", "tagged"}})).n_items(), 20);
  EXPECT_EQ(sources.set(with(kSmall, {{"keep", "all"}})).n_items(), kImages);
  const PreparedSet all = sources.set(with(kSmall, {{"concepts", "all"}}));
  EXPECT_EQ(all.n_labels(), 12);
  EXPECT_EQ(all.n_items(), 25) << "image 25 shows the rare concept h";
  const PreparedSet drawn =
      sources.set({{"concepts", "tc10"}, {"query_per_label", 1}, {"train_per_label", 1}});
  EXPECT_EQ(drawn.about()["choices"]["split"], "per_class") << "the default";
  EXPECT_EQ(drawn.rows(Part::kQuery).size(), 10U);
  EXPECT_EQ(drawn.rows(Part::kTrain).size(), 10U);
  EXPECT_THAT(sources.refusal({{"concepts", "tc10"}}), HasSubstr("has too few items for this split"));
}

TEST(NusWide, TheTrainAndTestListsGiveTheSameLabels) {
  auto sources = nus();
  const PreparedSet from_all = sources.set(kSmall);
  sources.remove("Groundtruth/AllLabels");
  const PreparedSet from_parts = sources.set(kSmall);
  EXPECT_TRUE(std::ranges::equal(from_all.labels(), from_parts.labels()));
  EXPECT_EQ(
      from_parts.about()["warnings"],
      Json{"Groundtruth/TrainTestLabels/Labels_f_concept_Train.txt: line 15 is -2147483648; read as 0"});
  sources.write("ImageList/TestImagelist.txt", "dir9\\x.jpg\n");
  EXPECT_EQ(sources.refusal(kSmall),
            "ImageList/TestImagelist.txt: line 1 is 'dir9/x.jpg', which Imagelist.txt does not have");
}

TEST(NusWide, MissingAndForeignPicturesAreLeftOut) {
  auto sources = nus();
  sources.remove("Flickr/dir1/0001_77.jpg");
  sources.write("Flickr/dir2/0002_77.jpg", "GIF89a, as Flickr answers for pictures that are gone");
  sources.write("Flickr/dir0/0003_77.jpg", testing_support::jpeg_bytes(9, 9, [](int, int, int) { return 24; },
                                                                       {.stored_from = JCS_GRAYSCALE}));
  const PreparedSet set = sources.set(kSmall);
  EXPECT_EQ(set.n_items(), 22);
  EXPECT_NEAR(grey_of(set, 1), 24, 1) << "image 3 is grey and stays";
  EXPECT_EQ(set.about()["dropped"]["listed"],
            (Json{"cannot read dir1/0001_77.jpg: No such file or directory",
                  "dir2/0002_77.jpg is neither a JPEG nor a PNG file: it starts with 47 49 46 38"}));
}

TEST(NusWide, MistakesInTheListsAreNamedWithTheirPlace) {
  const auto refusal = [](const std::string& name, std::string_view bytes) {
    auto sources = nus();
    sources.write(name, bytes);
    return sources.refusal(kSmall);
  };
  EXPECT_EQ(refusal("Groundtruth/AllLabels/Labels_b_concept.txt", "0\n1\n"),
            "Groundtruth/AllLabels/Labels_b_concept.txt has 2 lines; the image list has 30");
  EXPECT_EQ(refusal("Groundtruth/AllLabels/Labels_b_concept.txt", "0\nyes\n"),
            "Groundtruth/AllLabels/Labels_b_concept.txt: line 2 is 'yes'; allowed: 0, 1");
  EXPECT_EQ(refusal("NUS_WID_Tags/AllTags1k.txt", "0 1 0 0\n0 1 0\n"),
            "NUS_WID_Tags/AllTags1k.txt: line 2 has 3 values; the list has 4 tags");
  EXPECT_EQ(refusal("NUS_WID_Tags/AllTags1k.txt", "0 1 0 0\n0 12 0 0\n"),
            "NUS_WID_Tags/AllTags1k.txt: line 2: value 2 is not 0 or 1");
  EXPECT_EQ(refusal("NUS_WID_Tags/AllTags1k.txt", "0 1 0 0\n"),
            "NUS_WID_Tags/AllTags1k.txt has 1 lines; the image list has 30");
  EXPECT_EQ(refusal("NUS_WID_Tags/AllTags1k.txt", std::string(9000, '0')),
            "NUS_WID_Tags/AllTags1k.txt: line 1 is longer than 4112 bytes, the most that is read here");
  EXPECT_EQ(refusal("NUS_WID_Tags/TagList1k.txt", "sky\nsky\n"),
            "NUS_WID_Tags/TagList1k.txt: line 2 repeats 'sky'");
  EXPECT_EQ(refusal("ImageList/Imagelist.txt", "dir0\\..\\..\\x.jpg\n"),
            "ImageList/Imagelist.txt: line 1 is 'dir0/../../x.jpg', which leaves the folder of pictures");
  EXPECT_EQ(refusal("ImageList/Imagelist.txt", "dir0\\\xFF.jpg\n"),
            "ImageList/Imagelist.txt: line 1 is not UTF-8");
  EXPECT_EQ(refusal("ImageList/Imagelist.txt", ""),
            "ImageList/Imagelist.txt is empty; one picture per line is expected");
  auto sources = nus();
  sources.remove("Flickr");
  EXPECT_THAT(sources.refusal(kSmall), HasSubstr(" has no Flickr/; give the folder that holds ImageList/"));
  sources.remove("ConceptsList");
  EXPECT_THAT(sources.refusal(kSmall),
              HasSubstr(" has no ConceptsList/Concepts81.txt; give the folder that holds"));
}

TEST(NusWide, EqualCountsOfConceptsAreDecidedByTheirOrder) {
  detail::NusLabels labels;
  labels.concepts = {"a", "b", "c", "d"};
  labels.columns = {{1}, {1, 2}, {5, 6}, {7, 8}};
  EXPECT_EQ(detail::largest_concepts(labels, 2), (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(detail::largest_concepts(labels, 9).size(), 4U);
}

}  // namespace
}  // namespace gauntlet::data
